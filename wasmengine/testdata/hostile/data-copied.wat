;; expect: ok
;; Drops a segment, so its data are copied for every call: they are few.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (data (i32.const 64) "few")
  (data $d "x")
  (func (export "_start")
    (data.drop $d)
    (i32.store (i32.const 1024) (i32.const 0))))
