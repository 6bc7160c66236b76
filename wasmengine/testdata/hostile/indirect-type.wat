;; expect: trap
;; Calls a function of another type.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (type $void (func))
  (table 1 funcref)
  (elem (i32.const 0) $other)
  (func $other (param i32))
  (func (export "_start")
    (call_indirect (type $void) (i32.const 0))))
