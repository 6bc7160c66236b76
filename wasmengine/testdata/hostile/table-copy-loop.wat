;; expect: deadline or rejected-module
;; Copies 100,000 table entries in one instruction for ever. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (table 100000 funcref)
  (func (export "_start")
    (loop $again
      (table.copy (i32.const 0) (i32.const 50000) (i32.const 50000))
      (br $again))))
