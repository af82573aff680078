#!/usr/bin/env bash
# A Slurm of one node, this machine, to try sweeps on: Debian's packages, no systemd, no accounting.
#
#   apt-get install --no-install-recommends slurmctld slurmd slurm-client munge    # as root
#   scripts/slurm_single_node.sh start FOLDER     # prints the setting of SLURM_CONF that sbatch and srun need
#   scripts/slurm_single_node.sh stop FOLDER
#
# FOLDER keeps its configuration, state, key and logs. Run as root, as slurmd must be.
set -euo pipefail

[[ $# -eq 2 && $1 =~ ^(start|stop)$ ]] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$2"
folder=$(cd "$2" && pwd)
host=$(hostname -s)

stop() { # jobs first: slurmd does not end before them
    SLURM_CONF=$folder/slurm.conf scancel --user="$(id -un)" 2>/dev/null || true
    for _ in $(seq 40); do
        [[ -z $(SLURM_CONF=$folder/slurm.conf squeue --noheader 2>/dev/null) ]] && break
        sleep 0.5
    done
    for daemon in slurmd slurmctld munged; do
        [[ -s $folder/$daemon.pid ]] && kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true
    done
}

if [[ $1 == stop ]]; then
    stop
    exit
fi

for program in munged slurmctld slurmd sbatch srun; do
    command -v $program >/dev/null || { echo "$program is missing: install slurmctld slurmd slurm-client munge" >&2; exit 3; }
done
[[ $(id -u) -eq 0 ]] || { echo "slurmd must run as root" >&2; exit 3; }

mkdir -p "$folder"/{state,spool,munge}
chmod 755 "$folder" "$folder/munge"
[[ -s $folder/munge/key ]] || (umask 077 && head -c 128 /dev/urandom >"$folder/munge/key")

cat >"$folder/slurm.conf" <<CONF
ClusterName=single
SlurmctldHost=$host(localhost)
SlurmUser=root
AuthType=auth/munge
# cred_expire is also how long a job that is queued again must wait; by default 120 s
AuthInfo=socket=$folder/munge/socket,cred_expire=10
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=10
InactiveLimit=0
NodeName=$host NodeAddr=localhost CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE OverSubscribe=FORCE:4 State=UP
CONF

export SLURM_CONF=$folder/slurm.conf
munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
slurmctld -i
slurmd
for _ in $(seq 60); do
    if sinfo --noheader --format=%t 2>/dev/null | grep -qE '^(idle|mix|alloc)'; then
        echo "export SLURM_CONF=$SLURM_CONF"
        exit
    fi
    sleep 0.5
done
echo "the node did not come up; see $folder/*.log" >&2
stop
exit 1
