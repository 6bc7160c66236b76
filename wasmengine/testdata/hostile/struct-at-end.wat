;; expect: ok
;; The struct's last byte is the last of the declared memory.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 65500))
  (func (export "_start")
    (i32.store (i32.const 65500) (i32.const 0))))
