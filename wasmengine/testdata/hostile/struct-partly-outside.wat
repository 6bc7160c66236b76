;; expect: rejected-module
;; The struct's last four bytes lie outside of memory.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 65504))
  (func (export "_start")
    nop))
