;; expect: out-of-stack
;; Two functions that call each other for ever.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $a (call $b))
  (func $b (call $a))
  (func (export "_start")
    (call $a)))
