;; expect: rejected-module
;; The struct begins 4 bytes before the end of the address space.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const -4))
  (func (export "_start")
    nop))
