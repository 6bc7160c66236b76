;; expect: out-of-stack
;; A function that calls itself for ever.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $again (call $again))
  (func (export "_start")
    (call $again)))
