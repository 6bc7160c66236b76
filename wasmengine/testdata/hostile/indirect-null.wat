;; expect: trap
;; Calls an empty table entry.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (type $void (func))
  (table 1 funcref)
  (func (export "_start")
    (call_indirect (type $void) (i32.const 0))))
