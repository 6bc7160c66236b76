;; expect: ok or bad-output
;; Overwrites output_sets and output_sets_len with nonsense: the platform must not trust them.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1044) (i32.const -1))
    (i32.store (i32.const 1048) (i32.const -4))
    (i32.store (i32.const 1024) (i32.const 0))))
