;; expect: deadline
;; Calls itself in its own place for ever, with 6 integers.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $f (param i64 i64 i64 i64 i64 i64)
    (local.get 0)
    (local.get 1)
    (local.get 2)
    (local.get 3)
    (local.get 4)
    (local.get 5)
    return_call $f)
  (func (export "_start")
    (call $f (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1))))
