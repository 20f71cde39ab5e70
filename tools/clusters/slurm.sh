#!/bin/bash
#SBATCH --job-name=tinysft-vk
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4      # as many as a machine has cards
#SBATCH --gpus-per-node=4
#SBATCH --time=08:00:00
#SBATCH --signal=TERM@120        # two minutes before the end: finish the step, and save
#SBATCH --requeue
#SBATCH --open-mode=append       # what goes on writes on in the same log
srun --mpi=pmix tinysft-vk train --model TinyLlama/TinyLlama-1.1B-Chat-v1.0 --data mine.jsonl \
    --output-dir out/mine --batch-size 4 --grad-accum 16 --save-steps 50 --save-total-limit 2 \
    --resume-from-checkpoint latest
code=$?
# Time was up, and the run is saved: it goes on where it was once it is its turn again. scancel ends it.
if ((code == 143)); then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
