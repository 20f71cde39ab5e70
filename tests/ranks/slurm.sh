#!/usr/bin/env bash
# Ranks by Slurm, on a cluster of two nodes that is made here for the test: network namespaces with a pair of
# virtual cables, nothing of which is left. srun connects them by PMIx (Open MPI) and PMI-2 (MPICH), those of
# the two that are there; they must leave the bytes of one rank. The batch script of tools/clusters is told to
# end, as a time limit does it, is queued again by itself, and goes on to those bytes, too. Needs root,
# iproute2, and of Debian's packages slurmctld, slurmd, slurm-client and munge.
#
#   tests/ranks/slurm.sh PROGRAM
#
# Exit code 77: skipped, for the reason that it prints.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "$1")
skip() { echo "skipped: $*"; exit 77; }
if [[ -z ${TINYSFT_TEST_INSIDE:-} ]]; then
    ((EUID == 0)) || skip "only root makes network namespaces"
    for command in ip munged slurmctld slurmd srun; do
        command -v $command >/dev/null || skip "there is no $command"
    done
    unshare --net true 2>/dev/null || skip "no network namespaces here"
    # All that is started here ends with the first process of these namespaces.
    TINYSFT_TEST_INSIDE=1 exec unshare --net --uts --pid --fork --kill-child --mount-proc "$0" "$@"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$*"; tail -n 30 "$work"/*.log "$work"/log; exit 1; }

# ---- The cluster

hostname one
printf '127.0.0.1 localhost\n10.213.0.1 one\n10.213.0.2 two\n' >"$work/hosts"
mount --bind "$work/hosts" /etc/hosts
ip link set lo up
ip link add tsone type veth peer name tstwo || skip "no virtual cables here"
ip address add 10.213.0.1/24 dev tsone
ip link set tsone up
mkdir "$work"/{state,spool.one,spool.two,tmp,tmp.one,tmp.two}
head -c 128 /dev/urandom >"$work/munge.key"
chmod 600 "$work/munge.key"
munged --force --key-file="$work/munge.key" --socket="$work/munge" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munged.seed" 2>/dev/null
echo "PMIxCliTmpDirBase=$work/tmp" >"$work/mpi.conf"
cat >"$work/slurm.conf" <<END_OF_CONF
ClusterName=tinysft
SlurmctldHost=one
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$work/munge
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/%n.log
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=1
MpiDefault=none
NodeName=one,two CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES
END_OF_CONF
export SLURM_CONF=$work/slurm.conf
slurmctld
# Two nodes have no /tmp in common, where PMIx has its folders.
unshare --mount bash -c "mount --bind $work/tmp.one $work/tmp; exec slurmd -D -N one" &>/dev/null &
unshare --net --uts --mount bash -c "
    until ip link show tstwo &>/dev/null; do sleep 0.05; done
    hostname two
    ip link set lo up
    ip address add 10.213.0.2/24 dev tstwo
    ip link set tstwo up
    mount --bind $work/tmp.two $work/tmp
    exec slurmd -D -N two" &>/dev/null &
second=$!
until [[ $(readlink /proc/$second/ns/net) != $(readlink /proc/$$/ns/net) ]]; do sleep 0.05; done
ip link set tstwo netns $second
for ((i = 0; i < 300; i++)); do
    [[ $(sinfo -h -o %D:%T 2>/dev/null) != 2:idle ]] || break
    sleep 0.2
done
touch "$work/log"
[[ $(sinfo -h -o %D:%T) == 2:idle ]] || fail "the cluster does not start"

# ---- What runs on it

settings=(--lr 5e-3 --batch-size 2 --grad-accum 3 --no-tune)
same() { cmp "$work/$1/adapter_model.safetensors" "$work/$2/adapter_model.safetensors"; }
train=("$program" train --model assets/base --data data/dataset.json "${settings[@]}")
of_one() { # NAME STEPS
    "${train[@]}" --device 0 --max-steps "$2" --output-dir "$work/$1" &>"$work/log" || fail "one rank fails"
}
by_srun() { # NAME FLAGS OF SRUN...
    local name=$1
    shift
    srun "$@" "${train[@]}" --device 0 --max-steps 3 --output-dir "$work/$name" &>"$work/log"
}
of_one alone 3
kinds=()
for pair in openmpi:pmix mpich:pmi2; do
    [[ -f $(dirname "$program")/libtinysft-mpi-${pair%:*}.so ]] || continue
    srun --mpi=list 2>&1 | grep -qw "${pair#*:}" || continue
    kinds+=("${pair#*:}")
    by_srun "${pair#*:}" --nodes=2 --ntasks=4 --mpi="${pair#*:}" || fail "srun --mpi=${pair#*:} fails"
    grep -q "rank 2 on two" "$work/log" || fail "rank 2 is not on the other node"
    same alone "${pair#*:}"
    echo "two nodes of Slurm, srun --mpi=${pair#*:}: the bytes of one rank"
done
((${#kinds[@]} > 0)) || skip "Slurm has neither PMIx nor PMI-2, or the program was built without MPI"

code=0
by_srun none --ntasks=2 --mpi=none || code=$?
((code == 5)) || fail "srun without MPI ends with $code, expected 5"
(($(grep -c '^tinysft-vk: srun started 2 of this program' "$work/log") == 1)) || fail "that is not said once"
[[ ! -e $work/none ]] || fail "a rank without others wrote something"
echo "srun without MPI: told once, nothing is written"

for kind in "${kinds[@]}"; do # a shell of srun's has the variables of its MPI
    srun --ntasks=1 --mpi="$kind" "${train[@]}" --devices 0,0 --max-steps 3 \
        --output-dir "$work/shell-$kind" &>"$work/log" || fail "--devices fails where srun started it once"
    grep -q "^2 ranks by" "$work/log" || fail "--devices starts no ranks where srun started it once"
    same alone "shell-$kind"
    echo "srun --ntasks=1 --mpi=$kind, --devices 0,0: the bytes of one rank"
done

# ---- The batch script

steps=60
sed "s#TinyLlama/[^ ]*#assets/base#; s#mine.jsonl#data/dataset.json#; s#out/mine#$work/batch#
    s#--mpi=pmix#--mpi=${kinds[0]}#; s#--batch-size .*#${settings[*]} --device 0 --max-steps $steps \\\\#
    s#tinysft-vk train#$program train#" tools/clusters/slurm.sh >"$work/batch.sh"
job=$(sbatch --parsable --nodes=2 --ntasks-per-node=1 --gpus-per-node=0 --time=60 --open-mode=append \
    --output="$work/log" "$work/batch.sh")
state() { scontrol show job "$job" | grep -o "$1=[^ ]*" | cut -d= -f2 | head -n 1; }
await() { # WHAT COMMAND...: until it succeeds
    local what=$1
    shift
    for ((i = 0; i < 600; i++)); do
        ! "$@" || return 0
        sleep 0.5
    done
    fail "$what: not within minutes; the job is $(state JobState)"
}
is_at() { [[ $(state "$1") == "$2" ]]; }
await "a step of the job" grep -q '^step ' "$work/log"
scancel --signal=TERM "$job" # what --signal of the script does before the time ends
await "queued again" is_at Restarts 1
grep -q "stopped after step .* is saved" "$work/log" || fail "the job did not save"
await "it waits" is_at JobState PENDING
scontrol update JobId="$job" StartTime=now # else in two minutes
await "the end" is_at JobState COMPLETED
grep -q "^going on from $work/batch/checkpoint-" "$work/log" || fail "the job did not go on from what it saved"
of_one whole $steps
same whole batch
echo "the batch script, ended before its time and queued again: the bytes of one rank"
