import time
def test_x(configured, tmp_path, capsys):
    from tamis.pipelines import chain
    from tamis import progress
    with capsys.disabled():
        t=time.time()
        chain.run(configured(tmp_path/"run"), reporter=progress.reporter("json"))
        print(time.time()-t)
def test_y(finished): print(finished)
