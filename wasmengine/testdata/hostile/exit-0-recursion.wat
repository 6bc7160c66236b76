;; expect: out-of-stack
;; Writes exit code 0, then recurses for ever: out of stack all the same.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $again (call $again))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))
    (call $again)))
