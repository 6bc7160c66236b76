;; expect: trap
;; Writes exit code 0, then reads outside of memory: a trap all the same.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))
    (drop (i32.load (i32.const 0x7fffffff)))))
