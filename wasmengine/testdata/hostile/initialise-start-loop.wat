;; expect: rejected-module
;; The start function loops for ever.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (start $begin)
  (func $begin (loop $again (br $again)))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
