def test_x(configured, tmp_path, capsys):
    from tamis.pipelines import chain, session, engine
    from tamis import progress
    import time, os
    real=engine.run
    n=[0]
    def counted(*a):
        t=time.time(); real(*a); n[0]+=1; print("   pipeline", round(time.time()-t,2))
    engine.run=counted
    with capsys.disabled():
      for w in eval(os.environ["W"]):
        t=time.time(); n[0]=0
        chain.run(configured(tmp_path/f"run{w}", runner={"workers":w}, plan={"budgets":[400]}), stages=tuple(chain.STAGES)[:-1], reporter=progress.reporter("json"))
        print("WORKERS", w, time.time()-t, n[0])
    engine.run=real
