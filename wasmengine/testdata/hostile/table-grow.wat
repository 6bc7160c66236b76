;; expect: deadline or trap or rejected-module
;; Grows a table for ever: the memory of the process must stay bounded.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (table 0 funcref)
  (func (export "_start")
    (loop $again
      (drop (table.grow 0 (ref.null func) (i32.const 100000)))
      (br $again))))
