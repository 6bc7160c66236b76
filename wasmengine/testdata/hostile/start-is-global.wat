;; expect: rejected-module
;; The export `_start` is a global.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global (export "_start") i32 (i32.const 0)))
