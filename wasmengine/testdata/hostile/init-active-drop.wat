;; expect: trap
;; The same in a module that also drops the segment, though never.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (data (i32.const 64) "SECRETSECRET")
  (func (export "_start")
    (memory.init 0 (i32.const 256) (i32.const 0) (i32.const 6))
    (if (i32.const 0) (then (data.drop 0)))
    (i32.store (i32.const 1024) (i32.const 0))))
