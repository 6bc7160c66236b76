;; expect: rejected-module
;; _start has a result.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start") (result i32) (i32.const 0)))
