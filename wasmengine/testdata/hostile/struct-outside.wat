;; expect: rejected-module
;; The struct begins where memory ends.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 65536))
  (func (export "_start")
    nop))
