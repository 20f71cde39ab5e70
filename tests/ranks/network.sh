#!/usr/bin/env bash
# Ranks on hosts of their own: network namespaces with a pair of virtual cables between them,
# by Debian's Open MPI and MPICH, those of them that are there. They must leave the bytes of one rank; and
# where a host is cut off in the middle of a step, the run must end within a minute and say why. Needs root
# and iproute2.
#
#   tests/ranks/network.sh PROGRAM
#
# Exit code 77: skipped, for the reason that it prints.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "$1")
skip() { echo "skipped: $*"; exit 77; }
((EUID == 0)) || skip "only root makes network namespaces"
command -v ip >/dev/null || skip "there is no ip (iproute2)"
mpis=()
for pair in openmpi:mpirun.openmpi mpich:mpiexec.mpich; do
    if command -v "${pair#*:}" >/dev/null && [[ -f $(dirname "$program")/libtinysft-mpi-${pair%:*}.so ]]; then
        mpis+=("${pair%:*}")
    fi
done
((${#mpis[@]} > 0)) || skip "there is neither Open MPI nor MPICH, or the program was built without"

work=$(mktemp -d)
hosts=(tsa$$ tsb$$) # the launcher runs on the first
clean() {
    for host in "${hosts[@]}"; do
        ip netns pids "$host" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
        ip netns delete "$host" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean EXIT

for host in "${hosts[@]}"; do
    ip netns add "$host" || skip "no network namespaces here"
    ip -n "$host" link set lo up
    # So that TCP gives up on a host that is gone within seconds, not after a quarter of an hour: the
    # launcher waits for its own daemon there that long. But not before the ranks do, after 10.
    ip netns exec "$host" sysctl -qw net.ipv4.tcp_retries2=6
done
ip link add tsv netns "${hosts[0]}" type veth peer name tsv netns "${hosts[1]}" ||
    skip "no virtual cables here"
ip -n "${hosts[0]}" address add 10.213.0.1/24 dev tsv
ip -n "${hosts[1]}" address add 10.213.0.2/24 dev tsv
ip -n "${hosts[0]}" link set tsv up
ip -n "${hosts[1]}" link set tsv up

# In place of ssh: the launcher's command, on the host of that address.
cat >"$work/remote" <<END
#!/bin/bash
while [[ \$1 != 10.213.* ]]; do shift; done # MPICH's options of ssh
shift
exec ip netns exec ${hosts[1]} unshare --uts bash -c "hostname ${hosts[1]}; \$*"
END
chmod +x "$work/remote"
printf '10.213.0.1\n10.213.0.2\n' >"$work/hosts"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_orte_tmpdir_base=$work TINYSFT_RANK_TIMEOUT=10
openmpi=(mpirun.openmpi --hostfile "$work/hosts" -n 2 --map-by node --bind-to none --mca btl tcp,self
    --mca pml ob1 --mca btl_tcp_if_include 10.213.0.0/24 --mca oob_tcp_if_include 10.213.0.0/24
    --mca oob_tcp_keepalive_time 12 --mca oob_tcp_keepalive_intvl 4 --mca oob_tcp_keepalive_probes 2
    --mca plm_rsh_agent "$work/remote" -x MESA_SHADER_CACHE_DIR -x TINYSFT_RANK_TIMEOUT)
mpich=(mpiexec.mpich -f "$work/hosts" -n 2 -ppn 1 -localhost 10.213.0.1 -iface tsv
    -disable-hostname-propagation -launcher ssh -launcher-exec "$work/remote")
settings=(train --model assets/base --data data/dataset.json --lr 5e-3 --batch-size 2 --grad-accum 3
    --device 0 --no-tune)
on_two_hosts() { # MPI FLAGS...: by that launcher
    local -n launcher=$1
    shift
    ip netns exec "${hosts[0]}" unshare --uts bash -c 'hostname "$0"; exec "$@"' "${hosts[0]}" \
        "${launcher[@]}" "$program" "$@"
}
fail() { echo "$*"; tail -n 30 "$work/log"; exit 1; }

"$program" "${settings[@]}" --max-steps 3 --output-dir "$work/alone" >"$work/log" 2>&1 || fail "one rank fails"
for mpi in "${mpis[@]}"; do
    on_two_hosts "$mpi" "${settings[@]}" --max-steps 3 --output-dir "$work/$mpi" >"$work/log" 2>&1 ||
        fail "two ranks by $mpi fail"
    grep -q "rank 1 on ${hosts[1]}" "$work/log" || fail "rank 1 is not on the other host"
    cmp "$work/alone/adapter_model.safetensors" "$work/$mpi/adapter_model.safetensors"
    echo "two hosts, by $mpi: the bytes of one rank"

    # Both hosts are one machine, and without these variables MPICH's UCX finds the memory that they share,
    # which no cut of a cable reaches.
    UCX_TLS=tcp,self UCX_NET_DEVICES=tsv on_two_hosts "$mpi" "${settings[@]}" --epochs 40 \
        --save-steps 1 --save-total-limit 2 --output-dir "$work/cut-$mpi" >"$work/log" 2>&1 &
    run=$!
    until compgen -G "$work/cut-$mpi/checkpoint-*" | grep -qv 'checkpoint-1$' || ! kill -0 $run 2>/dev/null; do
        sleep 0.05
    done
    ip -n "${hosts[1]}" link set tsv down
    started=$SECONDS code=0
    wait $run || code=$?
    echo "cut off: ended $((SECONDS - started)) s later with exit code $code:"
    grep -a "rank . on .*: it has not answered" "$work/log" || fail "nobody says why"
    ((code != 0 && SECONDS - started < 60)) || fail "expected another code, and within 60 s"
    last=$(find "$work/cut-$mpi" -name 'checkpoint-*' | sort -V | tail -n 1)
    (cd "$last" && sha256sum --quiet --check SHA256SUMS)
    echo "the last checkpoint, $(basename "$last"), is whole"
    ip netns pids "${hosts[1]}" | xargs -r kill -KILL 2>/dev/null || true # whom nobody can reach
    ip -n "${hosts[1]}" link set tsv up
done
