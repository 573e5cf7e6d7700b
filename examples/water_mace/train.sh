#!/bin/sh
# Trains water-mace with mace-torch 0.3.16 (one core, about 40 minutes).
# DATA: folder with train.extxyz and test.extxyz (energies in eV, forces in eV/Å).
set -e
: "${DATA:?set DATA to the folder of train.extxyz and test.extxyz}"
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
mace_run_train --name water-mace --model ScaleShiftMACE \
 --train_file "$DATA/train.extxyz" --valid_fraction 0.03 \
 --test_file "$DATA/test.extxyz" --config_type_weights '{"Default":1.0}' \
 --energy_key energy --forces_key forces --E0s average --scaling rms_forces_scaling \
 --r_max 4.5 --num_interactions 2 --hidden_irreps "16x0e+16x1o" --max_ell 2 --correlation 3 \
 --radial_MLP "[32,32,32]" --MLP_irreps 16x0e --num_radial_basis 8 --num_cutoff_basis 5 \
 --loss weighted --forces_weight 100 --energy_weight 0.1 --batch_size 1 --valid_batch_size 4 \
 --lr 0.01 --scheduler ExponentialLR --lr_scheduler_gamma 0.84 --max_num_epochs 22 --patience 100 \
 --ema --ema_decay 0.995 --amsgrad --clip_grad 10 --default_dtype float32 --device cpu --seed 1 \
 --eval_interval 2 --num_workers 0 --save_cpu
