;; expect: rejected-module
;; No memory.
(module
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    nop))
