;; expect: rejected-module
;; The memory is not exported.
(module
  (memory 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    nop))
