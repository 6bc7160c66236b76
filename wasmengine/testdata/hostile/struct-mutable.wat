;; expect: rejected-module
;; The struct's global is mutable.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") (mut i32) (i32.const 1024))
  (func (export "_start")
    nop))
