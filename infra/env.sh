# What every process of this checkout is started with: nothing is written outside var/, nothing is reported to anyone.
# Sourced by the Makefile and by the `gatesid` launcher with GATESID_CHECKOUT set to the checkout's folder.
var="${GATESID_CHECKOUT:?}/var"
mkdir -p "$var/tmp" "$var/cache"
export TMPDIR="$var/tmp"
export XDG_CACHE_HOME="$var/cache" XDG_CONFIG_HOME="$var/config" XDG_DATA_HOME="$var/share" XDG_STATE_HOME="$var/state"
export UV_CACHE_DIR="$var/cache/uv" PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export PYTHONPYCACHEPREFIX="$var/pycache"
export HYPOTHESIS_STORAGE_DIRECTORY="$var/hypothesis" MPLCONFIGDIR="$var/cache/matplotlib" KERAS_HOME="$var/cache/keras"
export AIRFLOW_HOME="${GATESID_HOME:-$var}/airflow"
export SPARK_LOCAL_DIRS="$var/tmp" SPARK_SUBMIT_OPTS="-Djava.io.tmpdir=$var/tmp -XX:-UsePerfData" SPARK_LAUNCHER_OPTS="-XX:-UsePerfData"
export GX_ANALYTICS_ENABLED=false FEAST_USAGE=False DO_NOT_TRACK=1 TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
export TF_USE_LEGACY_KERAS=1
# Huge pages: a step that reads 100,000 of 10 million table rows takes 1.2 times one of a small table, and 1.7 times without.
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
unset var
