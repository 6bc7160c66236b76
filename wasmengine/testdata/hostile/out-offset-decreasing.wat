;; expect: bad-output
;; With several output sets every other offset is 5, the rest 0.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (local $set i32) (local $left i32)
    (local.set $set (i32.load (i32.const 1048)))
    (local.set $left (i32.load (i32.const 1044)))
    (loop $sets
      (i32.store offset=8 (local.get $set) (i32.mul (i32.and (local.get $left) (i32.const 1)) (i32.const 5)))
      (local.set $set (i32.add (local.get $set) (i32.const 12)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $sets (i32.ge_s (local.get $left) (i32.const 0))))
    (i32.store (i32.const 1056) (i32.const 4096))
    (i32.store (i32.const 1024) (i32.const 0))))
