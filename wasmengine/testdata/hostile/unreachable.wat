;; expect: trap
;; unreachable with exit_code as the platform wrote it (-1).
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    unreachable))
