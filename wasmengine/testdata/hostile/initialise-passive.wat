;; expect: ok
;; _initialize copies from a passive segment and drops it: no image can be made, so it runs in
;; every call.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (data $words "passive")
  (func (export "_initialize")
    (memory.init $words (i32.const 2048) (i32.const 0) (i32.const 7))
    (data.drop $words))
  (func (export "_start")
    (i32.store (i32.const 4104) (i32.const 2048))
    (i32.store (i32.const 4108) (i32.const 7))
    (i32.store (i32.const 1056) (i32.const 4096))
    (i32.store offset=20 (i32.load (i32.const 1048)) (i32.const 1))
    (i32.store (i32.const 1024) (i32.const 0))))
