;; expect: deadline or rejected-module
;; A function that calls itself in tail position: endless without loop and without stack. With a
;; fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $again (return_call $again))
  (func (export "_start")
    (return_call $again)))
