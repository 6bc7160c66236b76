;; expect: deadline
;; Writes exit code 0, then loops for ever: the deadline counts. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))
    (loop $again (br $again))))
