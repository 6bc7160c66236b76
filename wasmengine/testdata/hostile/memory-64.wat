;; expect: rejected-module
;; A memory with 64-bit addresses.
(module
  (memory (export "memory") i64 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i64.const 1024) (i32.const 0))))
