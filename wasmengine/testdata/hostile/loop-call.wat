;; expect: deadline
;; An endless loop in which each round calls a function. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $nothing)
  (func (export "_start")
    (loop $again (call $nothing) (br $again))))
