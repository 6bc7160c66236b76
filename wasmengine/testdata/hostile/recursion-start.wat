;; expect: out-of-stack
;; _start calls itself for ever.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $start (export "_start") (call $start)))
