;; expect: trap
;; Takes bytes from an active data segment, which has none once it was applied.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (data (i32.const 64) "SECRETSECRET")
  (func (export "_start")
    (memory.init 0 (i32.const 256) (i32.const 0) (i32.const 6))
    (i32.store (i32.const 1024) (i32.const 0))))
