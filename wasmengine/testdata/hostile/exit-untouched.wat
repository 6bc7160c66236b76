;; expect: exit -1
;; Returns without having written an exit code.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    nop))
