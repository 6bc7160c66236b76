;; expect: out-of-stack
;; A function that calls itself for ever through a table.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (type $void (func))
  (table 1 funcref)
  (elem (i32.const 0) $again)
  (func $again (call_indirect (type $void) (i32.const 0)))
  (func (export "_start")
    (call $again)))
