;; expect: deadline
;; An endless loop that writes memory. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (loop $again
      (i32.store (i32.const 2048) (i32.add (i32.load (i32.const 2048)) (i32.const 1)))
      (br $again))))
