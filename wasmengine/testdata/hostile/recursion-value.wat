;; expect: out-of-stack
;; The same with something left to do after the call, so that no tail call can be made of it.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $again (param i64) (result i64)
    (i64.add (call $again (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
  (func (export "_start")
    (drop (call $again (i64.const 0)))))
