@echo off
rem Have Windows' Task Scheduler keep pumpwatch running. Asks for nothing; "install_task.cmd --dry-run" only says what it would do.
cd /d "%~dp0.."
where py >nul 2>nul
if errorlevel 1 (python scripts\start.py service install %*) else (py -3 scripts\start.py service install %*)
exit /b %errorlevel%
