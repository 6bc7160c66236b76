;; expect: out-of-stack
;; Two functions of different types call each other through a table for ever.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (type $one (func (param i32) (result i64)))
  (type $two (func (param i64) (result i32)))
  (table 2 funcref)
  (elem (i32.const 0) $a $b)
  (func $a (type $one)
    (i64.add (i64.const 1)
      (i64.extend_i32_u (call_indirect (type $two) (i64.extend_i32_u (local.get 0)) (i32.const 1)))))
  (func $b (type $two)
    (i32.add (i32.const 1)
      (i32.wrap_i64 (call_indirect (type $one) (i32.wrap_i64 (local.get 0)) (i32.const 0)))))
  (func (export "_start")
    (drop (call $a (i32.const 1)))))
