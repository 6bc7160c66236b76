;; expect: rejected-module
;; Initial elements that the table has no room for.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (table 1 funcref)
  (elem (i32.const 0x7fffffff) $f $f)
  (func $f)
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
