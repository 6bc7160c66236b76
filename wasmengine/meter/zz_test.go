package meter
import ("testing";"os";"fmt";"time";"context";"math"
"github.com/tetratelabs/wazero"
"github.com/tetratelabs/wazero/api"
"github.com/tetratelabs/wazero/experimental"
"pappus/wasmengine/binary")
type inst struct{ mod api.Module; granted, slice int64; fuel, stack api.MutableGlobal; slices int }
func load(t testing.TB, code []byte, cfg wazero.RuntimeConfig, slice int64) (*inst, *inst) {
 ctx:=context.Background()
 mk:=func(code []byte, in *inst, me *Metered) {
  r:=wazero.NewRuntimeWithConfig(ctx,cfg.WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesTailCall|experimental.CoreFeaturesExtendedConst))
  t.Cleanup(func(){r.Close(ctx)})
  if me!=nil{
  _,err:=r.NewHostModuleBuilder("pappus").NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, st []uint64){ in.slices++; c:=int64(st[0]); need:=-c; if need<0{need=0}; g:=need+in.slice; in.granted+=g; st[0]=uint64(c+g)}),[]api.ValueType{api.ValueTypeI64},[]api.ValueType{api.ValueTypeI64}).Export("slice").Instantiate(ctx)
  if err!=nil{t.Fatal(err)}
  }
  m,err:=r.InstantiateWithConfig(ctx,code,wazero.NewModuleConfig().WithName(""))
  if err!=nil{t.Fatal(err)}
  in.mod=m
  if me!=nil{ in.fuel=m.ExportedGlobal(me.Fuel).(api.MutableGlobal); in.stack=m.ExportedGlobal(me.Stack).(api.MutableGlobal); in.stack.Set(8<<20)}
 }
 p:=&inst{}; mk(code,p,nil)
 mod,err:=binary.Decode(code,binary.DefaultCaps()); if err!=nil{t.Fatal(err)}
 me,err:=Rewrite(mod); if err!=nil{t.Fatal(err)}
 if os.Getenv("DUMP")!=""{os.WriteFile(os.Getenv("DUMP"),me.Code,0644)}
 q:=&inst{slice:slice}; mk(me.Code,q,me)
 return p,q
}
func TestZZ(t *testing.T){
 for _,c:=range []struct{f,fn string; arg uint64}{{"matmul","run",2},{"matmul_simd","run",2},{"mix","fib",27},{"mix","crc",60},{"mix","sieve",65536},{"mix","sortit",4096},{"mix","words",40},{"floats","nbody",5000},{"floats","mandel",120}}{
  code,_:=os.ReadFile("/tmp/c/"+c.f+".wasm")
  p,q:=load(t,code,wazero.NewRuntimeConfigCompiler(),1_000_000)
  best:=func(in *inst)(time.Duration,uint64){ b:=time.Duration(math.MaxInt64); var r uint64
   f:=in.mod.ExportedFunction(c.fn)
   for i:=0;i<15;i++{ t0:=time.Now(); v,err:=f.Call(context.Background(),c.arg); d:=time.Since(t0); if err!=nil{t.Fatal(err)}; r=v[0]; if d<b{b=d}}
   return b,r}
  d1,r1:=best(p); d2,r2:=best(q)
  used:=q.granted-int64(q.fuel.Get())
  fmt.Printf("%-12s %-8s plain %8v metered %8v ratio %.3f same=%v fuel/run %d ns/unit %.2f slices %d stack %d\n",c.f,c.fn,d1,d2,float64(d2)/float64(d1),r1==r2,used/15,float64(d2.Nanoseconds())/float64(used/15), q.slices, int64(q.stack.Get()))
 }
}
