# make up: the whole platform on this machine. make test: everything the tests need, and all tests.
# make check: the quick part. ARGS reaches the command, e.g. make up ARGS="--port-base 9400".

BOOT = sh bootstrap/find-python.sh bootstrap/install.py
BIN = .venv/bin

.PHONY: help up test check lint format relock clean

help:
	@echo 'make up      启动整个平台 / start the whole platform'
	@echo 'make test    安装测试所需并运行全部测试 / install what the tests need and run them all'
	@echo 'make check   快速检查 / ruff, mypy, import-linter, architecture tests'
	@echo 'make format  整理代码格式 / format the code'
	@echo 'make relock  重新锁定依赖版本 / take the newest allowed versions into the lock files'
	@echo 'make clean   删除安装的内容，保留数据 / remove what was installed, keep the data'

up:
	@$(BOOT)
	@exec $(BIN)/ymt up $(ARGS)

test:
	@$(BOOT) --tests
	@sh bootstrap/browser.sh
	@exec $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check:
	@$(BOOT) --tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/architecture

format:
	@$(BOOT) --tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

relock:
	@$(BOOT) --tests
	$(BIN)/python bootstrap/relock.py

clean:
	rm -rf .venv node_modules build dist src/yimatong/web/static/vendor src/*.egg-info
	rm -rf src/yimatong/cards/symbologies/vendor sdk/python/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis
	find src sdk tests bench drills migrations bootstrap -name __pycache__ -type d -prune -exec rm -rf {} +
