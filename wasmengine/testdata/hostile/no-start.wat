;; expect: rejected-module
;; No _start.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024)))
