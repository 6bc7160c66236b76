;; expect: bad-output
;; The first offset is 3 and the sentinel's 1: offsets decrease.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1056) (i32.const 4096))
    (i32.store offset=8 (i32.load (i32.const 1048)) (i32.const 3))
    (i32.store offset=20 (i32.load (i32.const 1048)) (i32.const 1))
    (i32.store (i32.const 1024) (i32.const 0))))
