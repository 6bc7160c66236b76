;; expect: rejected-module
;; The struct's global is an i64.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i64 (i64.const 1024))
  (func (export "_start")
    nop))
