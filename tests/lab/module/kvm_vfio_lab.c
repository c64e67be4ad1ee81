// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lab module provides what the emulated machines do not have.
 *
 * It is a second external user of VFIO (include/linux/vfio.h) beside
 * KVM, through /dev/kvm-vfio-lab, and a VFIO IOMMU driver whose answers and
 * failures a test sets.  It stalls a thread at a function of the kernel, so that
 * another one comes in between.  kvm_vfio_lab.h is its interface.  The parameter
 * no_wbinvd_exit makes KVM take the CPU for another one.  For tests only: it
 * is never installed.
 *
 * Who pins what
 *
 *	open file	pins this module; its users pin what external users pin,
 *			and the file of the VM that they name
 *	container	pins this module while it has one of the driver's types
 *
 * Locks
 *
 *	lab_file.lock	the users and the stall of one open file, for the length of
 *			an ioctl.  VFIO's locks are taken under it.
 *	lab_lock	behaviour and counts.  A leaf: VFIO calls the driver with
 *			the group's and the container's lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/dcache.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/kvm_host.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/xarray.h>

#include "drivers/vfio/vfio.h"
#include "kvm_vfio_lab.h"

#define LAB_ECHO_LAST	(KVM_VFIO_LAB_ECHO + 0xffff)

/**
 * struct lab_file - one open file of the device
 * @lock: guards @users, what is in them, and @stall
 * @users: struct lab_user by handle
 * @stall: the stall that is armed, or NULL
 */
struct lab_file {
	struct mutex lock;	/* guards users and stall */
	struct xarray users;
	struct lab_stall *stall;
};

/**
 * struct lab_user - an external user
 * @user: what VFIO knows it by
 * @vm: file of the VM that @user names, pinned; or NULL
 */
struct lab_user {
	struct vfio_external_user user;
	struct file *vm;
};

/**
 * struct lab_container - what a VFIO container has of this driver
 * @type: index into lab_types
 * @behaviour: what it does; lab_lock
 * @groups: groups attached; lab_lock
 */
struct lab_container {
	unsigned int type;
	struct kvm_vfio_lab_behaviour behaviour;
	unsigned int groups;
};

static DEFINE_SPINLOCK(lab_lock);

/* Guarded by lab_lock */
static struct lab_type {
	struct kvm_vfio_lab_behaviour defaults;
	struct kvm_vfio_lab_counts counts;
} lab_types[KVM_VFIO_LAB_TYPES];

/*
 * The VFIO IOMMU driver
 */
static bool lab_type_index(unsigned long arg, unsigned int *type)
{
	*type = arg - KVM_VFIO_LAB_TYPE(0);
	return arg >= KVM_VFIO_LAB_TYPE(0) &&
	       arg < KVM_VFIO_LAB_TYPE(KVM_VFIO_LAB_TYPES);
}

static void *lab_iommu_open(unsigned long arg)
{
	struct lab_container *container __free(kfree) =
		kzalloc_obj(*container, GFP_KERNEL_ACCOUNT);
	int ret;

	if (!container)
		return ERR_PTR(-ENOMEM);
	if (!lab_type_index(arg, &container->type))
		return ERR_PTR(-EINVAL);

	spin_lock(&lab_lock);
	container->behaviour = lab_types[container->type].defaults;
	ret = container->behaviour.open;
	if (!ret)
		lab_types[container->type].counts.opens++;
	spin_unlock(&lab_lock);
	if (ret)
		return ERR_PTR(ret);
	return_ptr(container);
}

static void lab_iommu_release(void *data)
{
	struct lab_container *container = data;

	spin_lock(&lab_lock);
	WARN_ON(container->groups);
	lab_types[container->type].counts.releases++;
	spin_unlock(&lab_lock);
	kfree(container);
}

static int lab_iommu_attach(void *data, struct iommu_group *group,
			    enum vfio_group_type type)
{
	struct lab_container *container = data;
	int ret;

	spin_lock(&lab_lock);
	ret = container->behaviour.attach;
	if (!ret) {
		container->groups++;
		lab_types[container->type].counts.attaches++;
	}
	spin_unlock(&lab_lock);
	return ret;
}

static void lab_iommu_detach(void *data, struct iommu_group *group)
{
	struct lab_container *container = data;

	spin_lock(&lab_lock);
	WARN_ON(!container->groups);
	container->groups--;
	lab_types[container->type].counts.detaches++;
	spin_unlock(&lab_lock);
}

static void lab_iommu_register(void *data, struct vfio_device *device)
{
	struct lab_container *container = data;

	spin_lock(&lab_lock);
	lab_types[container->type].counts.registers++;
	spin_unlock(&lab_lock);
}

static void lab_iommu_unregister(void *data, struct vfio_device *device)
{
	struct lab_container *container = data;

	spin_lock(&lab_lock);
	lab_types[container->type].counts.unregisters++;
	spin_unlock(&lab_lock);
}

static long lab_extension(struct lab_container *container, unsigned long arg)
{
	unsigned int type;

	lockdep_assert_held(&lab_lock);

	if (arg == VFIO_DMA_CC_IOMMU)
		lab_types[container->type].counts.asked_coherent++;
	if (container->behaviour.check)
		return container->behaviour.check;
	if (arg == VFIO_DMA_CC_IOMMU)
		return container->behaviour.coherent;
	if (arg >= KVM_VFIO_LAB_ECHO && arg <= LAB_ECHO_LAST)
		return arg - KVM_VFIO_LAB_ECHO;
	return lab_type_index(arg, &type) && type == container->type;
}

/* Without a container, VFIO asks which types the driver supports. */
static long lab_iommu_check(struct lab_container *container, unsigned long arg)
{
	unsigned int type;
	long ret = 0;

	spin_lock(&lab_lock);
	if (container)
		ret = lab_extension(container, arg);
	else if (lab_type_index(arg, &type))
		ret = lab_types[type].defaults.check ?: 1;
	spin_unlock(&lab_lock);
	return ret;
}

static bool lab_errno_is_valid(s32 err)
{
	return err <= 0 && err >= -MAX_ERRNO;
}

static int lab_copy_behaviour(struct kvm_vfio_lab_behaviour *behaviour,
			      unsigned long arg)
{
	if (copy_from_user(behaviour, (void __user *)arg, sizeof(*behaviour)))
		return -EFAULT;
	/* VFIO takes these for error pointers, or for success. */
	if (!lab_errno_is_valid(behaviour->check) ||
	    !lab_errno_is_valid(behaviour->open) ||
	    !lab_errno_is_valid(behaviour->attach))
		return -EINVAL;
	return 0;
}

static long lab_iommu_ioctl(void *data, unsigned int cmd, unsigned long arg)
{
	struct lab_container *container = data;
	struct kvm_vfio_lab_behaviour behaviour;
	long ret;

	if (cmd == VFIO_CHECK_EXTENSION)
		return lab_iommu_check(container, arg);

	if (cmd == KVM_VFIO_LAB_SET_BEHAVIOUR) {
		ret = lab_copy_behaviour(&behaviour, arg);
		if (ret)
			return ret;
	}

	spin_lock(&lab_lock);
	if (cmd == KVM_VFIO_LAB_SET_BEHAVIOUR) {
		container->behaviour = behaviour;
		ret = 0;
	} else {
		ret = container->behaviour.unknown;
	}
	spin_unlock(&lab_lock);
	return ret;
}

static const struct vfio_iommu_driver_ops lab_iommu_ops = {
	.name			= "kvm-vfio-lab",
	.owner			= THIS_MODULE,
	.open			= lab_iommu_open,
	.release		= lab_iommu_release,
	.ioctl			= lab_iommu_ioctl,
	.attach_group		= lab_iommu_attach,
	.detach_group		= lab_iommu_detach,
	.register_device	= lab_iommu_register,
	.unregister_device	= lab_iommu_unregister,
};

static long lab_set_defaults(unsigned long arg)
{
	struct kvm_vfio_lab_behaviour behaviour;
	int ret = lab_copy_behaviour(&behaviour, arg);

	if (ret)
		return ret;
	if (behaviour.type >= KVM_VFIO_LAB_TYPES)
		return -EINVAL;

	spin_lock(&lab_lock);
	lab_types[behaviour.type].defaults = behaviour;
	spin_unlock(&lab_lock);
	return 0;
}

static long lab_get_counts(unsigned long arg)
{
	void __user *to = (void __user *)arg;
	struct kvm_vfio_lab_counts counts;
	u32 type;

	if (get_user(type, (u32 __user *)to))
		return -EFAULT;
	if (type >= KVM_VFIO_LAB_TYPES)
		return -EINVAL;

	spin_lock(&lab_lock);
	counts = lab_types[type].counts;
	spin_unlock(&lab_lock);
	counts.type = type;
	return copy_to_user(to, &counts, sizeof(counts)) ? -EFAULT : 0;
}

static u32 lab_detaches(void)
{
	u32 sum = 0;
	int i;

	spin_lock(&lab_lock);
	for (i = 0; i < KVM_VFIO_LAB_TYPES; i++)
		sum += lab_types[i].counts.detaches;
	spin_unlock(&lab_lock);
	return sum;
}

/*
 * External users
 */
static struct lab_user *lab_find(struct lab_file *lab, unsigned long handle)
{
	lockdep_assert_held(&lab->lock);

	return xa_load(&lab->users, handle) ?: ERR_PTR(-ENOENT);
}

/* VFIO may look at the VM until the user is put. */
static void lab_user_free(struct lab_user *user)
{
	vfio_external_put(&user->user);
	if (user->vm)
		fput(user->vm);
	kfree(user);
}

static long lab_get(struct lab_file *lab, int fd)
{
	struct file *file __free(fput) = fget(fd);
	struct lab_user *user;
	u32 handle;
	int ret;

	lockdep_assert_held(&lab->lock);

	if (!file)
		return -EBADF;

	user = kzalloc_obj(*user, GFP_KERNEL_ACCOUNT);
	if (!user)
		return -ENOMEM;

	ret = vfio_external_get(&user->user, file);
	if (ret) {
		kfree(user);
		return ret;
	}

	ret = xa_alloc(&lab->users, &handle, user, xa_limit_31b,
		       GFP_KERNEL_ACCOUNT);
	if (ret) {
		lab_user_free(user);
		return ret;
	}
	return handle;
}

static long lab_put(struct lab_file *lab, unsigned long handle)
{
	struct lab_user *user = lab_find(lab, handle);

	if (IS_ERR(user))
		return PTR_ERR(user);
	xa_erase(&lab->users, handle);
	lab_user_free(user);
	return 0;
}

static int lab_group_fn(struct iommu_group *group, void *data)
{
	struct kvm_vfio_lab_group *param = data;

	param->calls++;
	param->id = iommu_group_id(group);
	return param->ret;
}

static long lab_with_group(struct lab_file *lab, void __user *arg)
{
	struct kvm_vfio_lab_group param;
	struct lab_user *user;
	int ret;

	if (copy_from_user(&param, arg, sizeof(param)))
		return -EFAULT;
	user = lab_find(lab, param.handle);
	if (IS_ERR(user))
		return PTR_ERR(user);

	param.calls = 0;
	param.id = -1;
	ret = vfio_external_with_group(&user->user, lab_group_fn, &param);
	return copy_to_user(arg, &param, sizeof(param)) ? -EFAULT : ret;
}

/* By its name, as KVM need not be there, and may export nothing if it is built in. */
static bool lab_is_vm(struct file *file)
{
	return !strcmp(file->f_path.dentry->d_name.name, "kvm-vm");
}

static long lab_set_kvm(struct lab_file *lab, void __user *arg)
{
	struct kvm_vfio_lab_kvm param;
	struct lab_user *user;

	if (copy_from_user(&param, arg, sizeof(param)))
		return -EFAULT;

	struct file *vm __free(fput) = fget(param.vm);

	if (!vm)
		return -EBADF;
	if (!lab_is_vm(vm))
		return -EINVAL;
	user = lab_find(lab, param.handle);
	if (IS_ERR(user))
		return PTR_ERR(user);

	vfio_external_set_kvm(&user->user, vm->private_data);
	swap(user->vm, vm);
	return 0;
}

/*
 * Where RCU readers can be preempted, let others run although the kernel was
 * booted not to (preempt=voluntary): a machine with one CPU has the race, too.
 */
static void lab_yield(void)
{
	cpu_relax();
#if defined(CONFIG_PREEMPT_RCU) && defined(CONFIG_PREEMPTION)
	if (need_resched())
		preempt_schedule();
#endif
}

static void lab_spin(struct vfio_external_user *user, bool alive, u32 us)
{
	ktime_t end = ktime_add_us(ktime_get(), us);

	while (vfio_external_alive(user) == alive &&
	       ktime_before(ktime_get(), end))
		lab_yield();
}

static void lab_section(struct vfio_external_user *user,
			struct kvm_vfio_lab_hold *hold,
			struct eventfd_ctx *event)
{
	u32 before;

	rcu_read_lock();
	hold->alive_first = vfio_external_alive(user);
	before = lab_detaches();
	if (event)
		eventfd_signal(event);
	lab_spin(user, true, hold->section_us);

	/* Gives time to what must not happen now. */
	if (hold->alive_first)
		lab_spin(user, false, hold->linger_us);
	hold->alive_last = vfio_external_alive(user);
	hold->detaches = lab_detaches() - before;
	rcu_read_unlock();
}

static void lab_hold(struct vfio_external_user *user,
		     struct kvm_vfio_lab_hold *hold, struct eventfd_ctx *event)
{
	ktime_t limit = ktime_add_us(ktime_get(), hold->limit_us);

	/* The host may need this CPU to go on, so sections are short. */
	do {
		lab_section(user, hold, event);
		event = NULL;
		cond_resched();
	} while (hold->alive_last && ktime_before(ktime_get(), limit) &&
		 !signal_pending(current));
}

static long lab_hold_rcu(struct lab_file *lab, void __user *arg)
{
	struct eventfd_ctx *event = NULL;
	struct kvm_vfio_lab_hold hold;
	struct lab_user *user;

	if (copy_from_user(&hold, arg, sizeof(hold)))
		return -EFAULT;
	if (hold.section_us > KVM_VFIO_LAB_SECTION_MAX ||
	    hold.linger_us > KVM_VFIO_LAB_SECTION_MAX)
		return -EINVAL;
	user = lab_find(lab, hold.handle);
	if (IS_ERR(user))
		return PTR_ERR(user);
	if (hold.eventfd >= 0) {
		event = eventfd_ctx_fdget(hold.eventfd);
		if (IS_ERR(event))
			return PTR_ERR(event);
	}
	lab_hold(&user->user, &hold, event);
	if (event)
		eventfd_ctx_put(event);
	return copy_to_user(arg, &hold, sizeof(hold)) ? -EFAULT : 0;
}

/*
 * Stalls
 */

/* After END: user space never sees it. */
#define LAB_STALL_OVER	(KVM_VFIO_LAB_STALL_LIMIT + 1)

/**
 * struct lab_stall - a thread that is to be stalled, once
 * @param: what the test has asked for
 * @function: the probe at which it is stalled
 * @meanwhile: the probe whose hits are counted while it is
 * @process: whose thread, by its number,
 * @armer: but not this one of its threads
 * @state: KVM_VFIO_LAB_STALL_*; the probes change it, too
 * @hits: of @meanwhile
 */
struct lab_stall {
	struct kvm_vfio_lab_stall param;
	struct kprobe function;
	struct kprobe meanwhile;
	pid_t process;
	pid_t armer;
	atomic_t state;
	atomic_t hits;
};

/* Nothing here can sleep or take a lock, as any function may be probed. */
static int __kprobes lab_stall_function(struct kprobe *probe, struct pt_regs *regs)
{
	struct lab_stall *stall = container_of(probe, struct lab_stall, function);
	u64 end = ktime_get_mono_fast_ns() + stall->param.limit_us * NSEC_PER_USEC;

	if (current->tgid != stall->process || current->pid == stall->armer ||
	    atomic_cmpxchg(&stall->state, KVM_VFIO_LAB_STALL_ARMED,
			   KVM_VFIO_LAB_STALL_NOW) != KVM_VFIO_LAB_STALL_ARMED)
		return 0;
	while (atomic_read(&stall->state) == KVM_VFIO_LAB_STALL_NOW) {
		if (ktime_get_mono_fast_ns() >= end)
			atomic_cmpxchg(&stall->state, KVM_VFIO_LAB_STALL_NOW,
				       KVM_VFIO_LAB_STALL_LIMIT);
		cpu_relax();
	}
	return 0;
}

static int __kprobes lab_stall_meanwhile(struct kprobe *probe, struct pt_regs *regs)
{
	struct lab_stall *stall = container_of(probe, struct lab_stall, meanwhile);

	if (atomic_read(&stall->state) == KVM_VFIO_LAB_STALL_NOW)
		atomic_inc(&stall->hits);
	return 0;
}

static bool lab_name_ends(const char *name)
{
	return strnlen(name, KVM_VFIO_LAB_NAME_SIZE) < KVM_VFIO_LAB_NAME_SIZE;
}

static long lab_stall_arm(struct lab_file *lab, void __user *arg)
{
	struct lab_stall *stall __free(kfree) = kzalloc_obj(*stall, GFP_KERNEL_ACCOUNT);
	int ret;

	lockdep_assert_held(&lab->lock);

	if (lab->stall)
		return -EBUSY;
	if (!stall)
		return -ENOMEM;
	if (copy_from_user(&stall->param, arg, sizeof(stall->param)))
		return -EFAULT;
	if (!lab_name_ends(stall->param.function) || !lab_name_ends(stall->param.meanwhile) ||
	    stall->param.limit_us > KVM_VFIO_LAB_SECTION_MAX)
		return -EINVAL;

	stall->process = current->tgid;
	stall->armer = current->pid;
	stall->meanwhile = (struct kprobe){
		.symbol_name = stall->param.meanwhile,
		.pre_handler = lab_stall_meanwhile,
	};
	stall->function = (struct kprobe){
		.symbol_name = stall->param.function,
		.pre_handler = lab_stall_function,
	};
	ret = register_kprobe(&stall->meanwhile);
	if (ret)
		return ret;
	ret = register_kprobe(&stall->function);
	if (ret) {
		unregister_kprobe(&stall->meanwhile);
		return ret;
	}
	lab->stall = no_free_ptr(stall);
	return 0;
}

static long lab_stall_look(struct lab_file *lab, void __user *arg)
{
	struct kvm_vfio_lab_stalled stalled;

	lockdep_assert_held(&lab->lock);

	if (!lab->stall)
		return -ENOENT;
	stalled.state = atomic_read(&lab->stall->state);
	stalled.meanwhile = atomic_read(&lab->stall->hits);
	return copy_to_user(arg, &stalled, sizeof(stalled)) ? -EFAULT : 0;
}

/* The thread has left the probe when this returns. */
static long lab_stall_end(struct lab_file *lab)
{
	struct lab_stall *stall = lab->stall;

	if (!stall)
		return -ENOENT;
	atomic_set(&stall->state, LAB_STALL_OVER);
	unregister_kprobe(&stall->function);
	unregister_kprobe(&stall->meanwhile);
	lab->stall = NULL;
	kfree(stall);
	return 0;
}

/* Those that take a handle and nothing else */
static long lab_query(struct lab_file *lab, unsigned int cmd,
		      unsigned long handle)
{
	struct lab_user *user = lab_find(lab, handle);

	if (IS_ERR(user))
		return PTR_ERR(user);

	switch (cmd) {
	case KVM_VFIO_LAB_ALIVE:
		return vfio_external_alive(&user->user);
	case KVM_VFIO_LAB_IOMMU_ID:
		return user->user.group;
	case KVM_VFIO_LAB_ENFORCED_COHERENT:
		return user->user.coherent;
	default:
		return -ENOTTY;
	}
}

static long lab_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lab_file *lab = file->private_data;

	guard(mutex)(&lab->lock);

	switch (cmd) {
	case KVM_VFIO_LAB_GET:
		return lab_get(lab, arg);
	case KVM_VFIO_LAB_PUT:
		return lab_put(lab, arg);
	case KVM_VFIO_LAB_WITH_GROUP:
		return lab_with_group(lab, (void __user *)arg);
	case KVM_VFIO_LAB_SET_KVM:
		return lab_set_kvm(lab, (void __user *)arg);
	case KVM_VFIO_LAB_HOLD_RCU:
		return lab_hold_rcu(lab, (void __user *)arg);
	case KVM_VFIO_LAB_HOLD_YIELDS:
		return IS_ENABLED(CONFIG_PREEMPT_RCU);
	case KVM_VFIO_LAB_STALL:
		return lab_stall_arm(lab, (void __user *)arg);
	case KVM_VFIO_LAB_STALL_LOOK:
		return lab_stall_look(lab, (void __user *)arg);
	case KVM_VFIO_LAB_STALL_END:
		return lab_stall_end(lab);
	case KVM_VFIO_LAB_SET_DEFAULTS:
		return lab_set_defaults(arg);
	case KVM_VFIO_LAB_GET_COUNTS:
		return lab_get_counts(arg);
	default:
		return lab_query(lab, cmd, arg);
	}
}

static int lab_open(struct inode *inode, struct file *file)
{
	struct lab_file *lab = kzalloc_obj(*lab, GFP_KERNEL_ACCOUNT);

	if (!lab)
		return -ENOMEM;
	mutex_init(&lab->lock);
	xa_init_flags(&lab->users, XA_FLAGS_ALLOC);
	file->private_data = lab;
	return 0;
}

/*
 * Nobody else can reach the users.  What they pin is released before close()
 * returns.
 */
static int lab_release(struct inode *inode, struct file *file)
{
	struct lab_file *lab = file->private_data;
	struct lab_user *user;
	unsigned long handle;

	lab_stall_end(lab);
	xa_for_each(&lab->users, handle, user)
		lab_user_free(user);
	xa_destroy(&lab->users);
	mutex_destroy(&lab->lock);
	kfree(lab);
	return 0;
}

static const struct file_operations lab_fops = {
	.owner		= THIS_MODULE,
	.open		= lab_open,
	.release	= lab_release,
	.unlocked_ioctl	= lab_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice lab_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= KVM_VFIO_LAB_DEVICE,
	.fops	= &lab_fops,
	.mode	= 0600,
};

#ifdef CONFIG_X86
/*
 * A CPU on which WBINVD of a guest does not exit: no emulated one is like that, so KVM
 * is told so.  Parameter no_wbinvd_exit, guarded by the lock of the parameters.
 */
static int lab_return_false(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	regs_set_return_value(regs, false);
	return 0;
}

static struct kretprobe lab_wbinvd_exit;
static bool lab_no_wbinvd_exit;

static int lab_set_no_wbinvd_exit(const char *value, const struct kernel_param *param)
{
	bool set;
	int ret = kstrtobool(value, &set);

	if (ret || set == lab_no_wbinvd_exit)
		return ret;
	if (set) {
		lab_wbinvd_exit = (struct kretprobe){
			.kp.symbol_name = "svm_has_wbinvd_exit",
			.handler = lab_return_false,
		};
		ret = register_kretprobe(&lab_wbinvd_exit);
	} else {
		unregister_kretprobe(&lab_wbinvd_exit);
	}
	if (!ret)
		lab_no_wbinvd_exit = set;
	return ret;
}

static const struct kernel_param_ops lab_no_wbinvd_exit_ops = {
	.set	= lab_set_no_wbinvd_exit,
	.get	= param_get_bool,
};

module_param_cb(no_wbinvd_exit, &lab_no_wbinvd_exit_ops, &lab_no_wbinvd_exit, 0600);

static void lab_end_no_wbinvd_exit(void)
{
	if (lab_no_wbinvd_exit)
		unregister_kretprobe(&lab_wbinvd_exit);
}
#else
static void lab_end_no_wbinvd_exit(void) {}
#endif

static void __init lab_init_types(void)
{
	int i;

	spin_lock(&lab_lock);
	for (i = 0; i < KVM_VFIO_LAB_TYPES; i++)
		lab_types[i].defaults.unknown = -ENOTTY;
	spin_unlock(&lab_lock);
}

static int __init lab_init(void)
{
	int ret;

	lab_init_types();
	ret = vfio_register_iommu_driver(&lab_iommu_ops);
	if (ret)
		return ret;
	ret = misc_register(&lab_device);
	if (ret)
		vfio_unregister_iommu_driver(&lab_iommu_ops);
	return ret;
}

/* Open files and containers pin the module: there are none any more. */
static void __exit lab_exit(void)
{
	lab_end_no_wbinvd_exit();
	misc_deregister(&lab_device);
	vfio_unregister_iommu_driver(&lab_iommu_ops);
}

module_init(lab_init);
module_exit(lab_exit);

MODULE_DESCRIPTION("kvm-vfio: external users and containers for tests");
MODULE_LICENSE("GPL");
