;; expect: trap
;; Reads past the end of memory.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (drop (i32.load (i32.const 0x7fffffff)))))
