;; expect: ok
;; Calls itself 20,000 deep and comes back.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $deep (param i32)
    (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "_start")
    (call $deep (i32.const 20000))
    (i32.store (i32.const 1024) (i32.const 0))))
